"""The console at `/`: what this issuer knows, a token workbench, faults, keys and a live request log."""

from mock_idp.faults import CATALOGUE
from mock_idp.issuer import issuer_url, oauth_url
from mock_idp.pages import PageHandler


class Console(PageHandler):
    """One page over the control plane; what it does, `/mock/…` does."""

    captured = False
    faultable = False

    def get(self) -> None:
        """Show it."""
        servers = [
            {
                "id": server.server_id,
                "issuer": issuer_url(self.base_url, server.server_id),
                "keys": f"{oauth_url(self.base_url, server.server_id)}/keys",
                "algorithm": server.algorithm,
                "audience": server.audience,
                "scopes": ", ".join(server.scopes) or "none beyond the standard ones",
            }
            for server in self.ns.servers.values()
        ]
        self.render_page(
            "console.html",
            title="Console",
            namespace=self.ns.name,
            base_url=self.base_url,
            tls_url=self.issuer.tls_public_url,
            api_url=self.issuer.settings.api_url,
            servers=servers,
            clients=list(self.ns.clients.values()),
            personas=list(self.ns.personas.values()),
            faults=list(CATALOGUE.values()),
        )
