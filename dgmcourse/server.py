"""A Jupyter Server extension that makes explorers answer at once: it sends what the kernel says without delay.

A server's socket holds a small packet back while the one before it is not acknowledged (Nagle's algorithm, RFC 896), and
a browser acknowledges late: about 40 ms are lost on every move of a slider. TCP_NODELAY ends that for kernel websockets.

Enabled with `jupyter lab --ServerApp.jpserver_extensions="{'dgmcourse.server': True}"`. Nothing heavy is imported here:
this runs in the server, not in the kernel.
"""


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "dgmcourse.server"}]


def _load_jupyter_server_extension(app) -> None:
    """Let kernel websockets opened from now on send without delay; whatever connection class is configured is kept."""
    settings = app.web_app.settings
    configured = settings["kernel_websocket_connection_class"]

    class PromptConnection(configured):
        def connect(self):
            self.websocket_handler.set_nodelay(True)
            return super().connect()

    settings["kernel_websocket_connection_class"] = PromptConnection
