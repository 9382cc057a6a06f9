"""The server extension: on by itself where the course is installed, light, and never in a server's way."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dgmcourse.server import _load_jupyter_server_extension

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "etc/jupyter/jupyter_server_config.d/dgmcourse.json"
CLASS = "kernel_websocket_connection_class"


class Configured:
    """A connection class that a deployment may have configured."""

    def __init__(self, set_nodelay=None):
        self.said = []
        self.websocket_handler = SimpleNamespace(set_nodelay=set_nodelay or (lambda on: self.said.append(on)))

    def connect(self):
        self.said.append("connected")
        return "a future"


def server(**settings):
    return SimpleNamespace(web_app=SimpleNamespace(settings=settings))


def test_the_settings_name_an_extension_that_is_there():
    (extensions,) = json.loads((ROOT / SETTINGS).read_text(encoding="utf-8"))["ServerApp"].values()
    assert extensions == {"dgmcourse.server": True}
    for name in extensions:
        points = importlib.import_module(name)._jupyter_server_extension_points()
        assert [point["module"] for point in points] == [name]


def test_this_installation_turns_the_extension_on():
    from jupyter_core.paths import jupyter_config_path
    from jupyter_server.extension.config import ExtensionConfigManager

    read = ExtensionConfigManager(read_config_path=jupyter_config_path())
    assert read.get_jpserver_extensions().get("dgmcourse.server") is True, "pip install -e . installs its settings"


def test_the_configured_connection_is_kept_and_sends_without_delay():
    app = server(**{CLASS: Configured})
    _load_jupyter_server_extension(app)
    connection = app.web_app.settings[CLASS]()
    assert isinstance(connection, Configured)
    assert connection.connect() == "a future"
    assert connection.said == [True, "connected"]


def test_a_socket_that_refuses_is_connected_all_the_same(caplog):
    def refuse(on):
        raise OSError("no TCP here")

    app = server(**{CLASS: Configured})
    _load_jupyter_server_extension(app)
    assert app.web_app.settings[CLASS](refuse).connect() == "a future"
    assert "TCP_NODELAY" in caplog.text


@pytest.mark.parametrize("settings", [{}, {CLASS: None}, {CLASS: "a name"}])
def test_an_unknown_server_is_left_as_it_is(settings, caplog):
    app = server(**settings)
    _load_jupyter_server_extension(app)
    assert app.web_app.settings == settings
    assert "changes nothing" in caplog.text


def test_the_extension_is_light():
    code = "import sys, dgmcourse.server; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
