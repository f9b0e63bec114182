"""The page: a small Tornado server, the client it serves, and the set-up of Okta's widget."""
