"""Every annotated function of the package is checked at run time: shapes by jaxtyping, types by beartype."""

from jaxtyping import install_import_hook

_hook = install_import_hook("sensei_lite", "beartype.beartype")
