"""A mock OpenID Connect issuer with Okta's surface: strict where Okta is strict, breakable on purpose."""
