"""What a page of ours may do in a browser: load its own files, and ask the daemon that it is from."""

from __future__ import annotations

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src {style}; img-src 'self' data: blob:;"
    " connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page_headers(style: str = "'self'") -> tuple[tuple[str, str], ...]:
    """Return the headers of a page and its files; ``style``: where its styles come from, as a CSP source."""
    return (
        ("Content-Security-Policy", _POLICY.format(style=style)),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Vary", "Accept-Encoding"),
    )
