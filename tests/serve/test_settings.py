"""Settings of the service: from options, then variables, then defaults; what makes no sense is refused."""

import pytest

from fedelta.serve.caller.settings import Limits, SettingRefused, Settings, TokenSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"rate_per_second": -1.0},
        {"rate_burst": 0},
        {"root_path": "churn/"},
        {"audit": "some"},
        {"stale_after_hours": 0.0},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingRefused):
        Settings.from_environment(wrong, {})


def test_settings_come_from_options_then_variables_then_defaults() -> None:
    variables = {
        "FEDELTA_SERVE_WORKERS": "3", "FEDELTA_SERVE_LIMIT_BODY_BYTES": "5", "FEDELTA_SERVE_ROOT_PATH": "/a",
        "FEDELTA_SERVE_TRUSTED_PROXIES": "10.0.0.1, 10.0.0.2",
    }  # fmt: skip
    settings = Settings.from_environment({"root_path": "/b", "limit_headers": 7, "workers": None}, variables)
    assert (settings.workers, settings.root_path, settings.trusted_proxies) == (3, "/b", ("10.0.0.1", "10.0.0.2"))
    assert settings.limits == Limits(body_bytes=5, headers=7)
    with pytest.raises(SettingRefused, match="FEDELTA_SERVE_WORKERS must be a number"):
        Settings.from_environment({}, {"FEDELTA_SERVE_WORKERS": "many"})


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("https://issuer.example/keys", True),
        ("http://127.0.0.1:8080/keys", True),
        ("http://localhost/keys", True),
        ("http://issuer.example/keys", False),
        ("http://localhost.issuer.example/keys", False),
        ("http://localhost@issuer.example/keys", False),
        ("file:///etc/keys", False),
    ],
)
def test_the_keys_of_an_issuer_come_over_https_or_from_this_machine(address: str, good: bool) -> None:
    given = {"issuer": "i", "audience": "a", "jwks_url": address}
    if good:
        assert TokenSettings(**given).jwks_url == address
    else:
        with pytest.raises(SettingRefused, match="https"):
            TokenSettings(**given)
