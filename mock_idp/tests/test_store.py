"""What is remembered expires and stays bounded."""

from hypothesis import given
from hypothesis import strategies as st

from mock_idp.store import ExpiringStore


def test_entry_is_gone_after_its_time():
    """An entry lives exactly its time."""
    now = 0.0
    store: ExpiringStore[str] = ExpiringStore(10, 5, lambda: now)
    store.put("a", "x")
    now = 9.9
    assert store.get("a") == "x"
    now = 10.0
    assert store.get("a") is None
    assert len(store) == 0


def test_popped_entry_is_gone():
    """What is single-use is given once."""
    store: ExpiringStore[str] = ExpiringStore(10, 5, lambda: 0.0)
    store.put("a", "x")
    assert (store.pop("a"), store.pop("a")) == ("x", None)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 5)), max_size=60))
def test_store_never_holds_more_than_its_limit_and_never_what_expired(steps: list[tuple[str, float]]):
    """However keys and times come, the store agrees with a plain model and stays within its bound."""
    now = 0.0
    store: ExpiringStore[int] = ExpiringStore(10, 4, lambda: now)
    put_at: dict[str, float] = {}
    for number, (key, pause) in enumerate(steps):
        now += pause
        store.put(key, number)
        put_at.pop(key, None)
        put_at[key] = now
        assert len(store) <= 4
        newest = list(put_at)[-4:]
        for name, when in put_at.items():
            expected = name in newest and when + 10 > now
            assert (store.get(name) is not None) == expected
