"""A Django project for a module of tests: a process configures Django once, for all of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django import conf, setup
from django.test.utils import override_settings


@contextmanager
def django_project(routes: object, *, middleware: Sequence[str] = ()) -> Iterator[None]:
    """Let Django serve the routes, a module's name or an object with ``urlpatterns``."""
    if not conf.settings.configured:
        conf.settings.configure(
            SECRET_KEY="for tests only", ALLOWED_HOSTS=["127.0.0.1"], LOGGING_CONFIG=None
        )
        setup()
    with override_settings(ROOT_URLCONF=routes, MIDDLEWARE=list(middleware)):
        yield
