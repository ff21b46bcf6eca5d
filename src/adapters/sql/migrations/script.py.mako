"""${message}.

Rolling deploys run old and new code at once on this schema, so a revision only adds. See README in this folder for
what that means, for locks, and for what has to work on both databases. Delete this paragraph once it is true.
"""

import sqlalchemy as sa
from advanced_alchemy.types import GUID, DateTimeUTC, JsonB
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None: ...


def downgrade() -> None: ...
