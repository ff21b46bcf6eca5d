"""The version of routes: a hash by which operators find out which routes a node uses."""

from hashlib import sha256
from typing import Final

import msgspec

from domain.route_table import RouteTable

# Hexadecimal digits: enough to distinguish all routes that one site ever has.
LENGTH: Final = 12


def version_of(table: RouteTable) -> str:
    """Returns the version of a route table: a hash of its profiles and endpoints. It is the same on every node that has
    loaded the same routes with the same version of Herald; comments and formatting in the files do not change it.
    """
    content = msgspec.json.encode((table.profiles, table.endpoints), enc_hook=repr, order="deterministic")
    return sha256(content).hexdigest()[:LENGTH]
