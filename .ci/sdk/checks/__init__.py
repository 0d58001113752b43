"""What is checked. Every module has `checks()`: names, and functions that take a `Brownout` and assert."""

from . import chats, control, deaths, idle, refusals, scripts, tapes

ALL = (chats, refusals, deaths, tapes, control, scripts, idle)
