"""The engine that the address asks for."""

from playwright.sync_api import expect

from e2e.people import ALICE


def test_engine_of_the_address_survives_signing_in_and_out(board):
    """The issuer sends people back to the bare address, and the tab still has the engine that was asked for."""
    board.open("classic")
    board.gate.enter(ALICE)
    expect(board.person).to_be_visible()
    board.sign_out()
    expect(board.gate.username).to_be_visible()
    expect(board.engine).to_have_text("Classic engine")
