"""What people see: the frame, the components, and the one way to render a page."""

from .rendering import FLASH_COOKIE, fragment, load_templates, render
from .static import asset, assets_app

__all__ = ["FLASH_COOKIE", "asset", "assets_app", "fragment", "load_templates", "render"]
