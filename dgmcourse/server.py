"""A Jupyter Server extension that makes explorers answer at once: it sends what the kernel says without delay.

A server's socket holds a small packet back while the one before it is not acknowledged (Nagle's algorithm, RFC 896), and
a browser acknowledges late: about 40 ms are lost on every move of a slider. TCP_NODELAY ends that for kernel websockets.

It is on wherever the course is installed in Jupyter's own environment: etc/jupyter/jupyter_server_config.d/dgmcourse.json
says so, and `jupyter server extension disable dgmcourse.server` turns it off. Nothing heavy is imported here: this runs in
the server, not in the kernel. Where it cannot do its work, the server does all of its own, only with that delay.
"""

import logging

_log = logging.getLogger(__name__)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "dgmcourse.server"}]


def _load_jupyter_server_extension(app) -> None:
    """Let kernel websockets opened from now on send without delay; whatever connection class is configured is kept."""
    settings = app.web_app.settings
    configured = settings.get("kernel_websocket_connection_class")
    if not isinstance(configured, type) or not hasattr(configured, "connect"):
        _log.warning("dgmcourse.server knows no such server, and changes nothing: explorers answer about 40 ms later")
        return

    class PromptConnection(configured):
        def connect(self):
            try:
                self.websocket_handler.set_nodelay(True)
            except Exception:
                _log.warning("dgmcourse.server could not set TCP_NODELAY", exc_info=True)
            return super().connect()

    settings["kernel_websocket_connection_class"] = PromptConnection
