"""What the configuration of every nginx of the benches needs to run beside others, unprivileged or not."""

import os

KINDS = {"client_body": "body", "proxy": "proxy", "fastcgi": "fastcgi", "uwsgi": "uwsgi",
         "scgi": "scgi"}


def nginx_parts(directory, name):
    """The values of {user} and {temp_paths} in a template, for the nginx of this name: as root its
    worker would change to a user that cannot read the bench's directory, and its default paths are
    those of the system."""
    paths = (f"{kind}_temp_path {directory}/{name}-{path};" for kind, path in KINDS.items())
    return {"user": "user root;" if os.geteuid() == 0 else "", "temp_paths": "\n  ".join(paths)}
