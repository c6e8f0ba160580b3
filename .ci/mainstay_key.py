"""Finds keys of mainstay itself: `mainstay_{name}_{64 hexadecimal digits}`."""

import re

from detect_secrets.plugins.base import RegexBasedDetector


class MainstayKeyDetector(RegexBasedDetector):
    secret_type = "mainstay key"
    denylist = [re.compile(r"mainstay_[A-Za-z0-9.-]{1,64}_[0-9a-f]{64}")]
