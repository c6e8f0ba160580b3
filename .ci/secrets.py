"""No secret was ever committed: every line that any commit added is scanned with detect-secrets.

The whole history, not only what is there now: a secret that was removed again is still given away.
First a planted secret must be found, so that a scanner that finds nothing at all is noticed.
Lines of the history that look like a secret and are none are in ALLOWED, each with its reason.
"""

import collections
import pathlib
import subprocess
import sys
import tempfile

from detect_secrets import SecretsCollection
from detect_secrets.settings import transient_settings

# Of things with a form of their own: entropy alone finds every hash in the tests.
PLUGINS = [
    "ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector",
    "CloudantDetector", "DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector",
    "IbmCloudIamDetector", "IbmCosHmacDetector", "JwtTokenDetector", "MailchimpDetector",
    "NpmDetector", "OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector",
    "SlackDetector", "SoftlayerDetector", "SquareOAuthDetector", "StripeDetector",
    "TelegramBotTokenDetector", "TwilioKeyDetector",
]
OURS = {"name": "MainstayKeyDetector", "path": f"file://{pathlib.Path(__file__).parent}/mainstay_key.py"}

# (path, line) without blanks at its ends, and why it is no secret.
ALLOWED: dict[tuple[str, str], str] = {
    ("tests/cli/audit.trycmd", '$ mainstay audit --server http://me:secr' + 'et@127.0.0.1:7070'): "a URL with credentials must be refused",
    ("tests/cli/subject.trycmd", '$ mainstay subject export customer-7 --server http://ann:secr' + 'et@127.0.0.1:1'): "the same",
    ("src/backup/place.rs", '("s3://key:secr' + 'et@bucket/b", "holds no credentials"),'): "the same",
    ("src/preflight/item.rs", '["", "wiki", "https://", "://a", "https://ann:p' + 'w@wiki.example/1", "https://a b", &long]'): "the same",
    ("tests/product/preflight.rs", 'json!({ "item": "documents.runbooks", "evidence": "https://ann:p' + 'w@wiki.example" }),'): "the same",
    ("src/config/probe_target.rs", '"postgres://u:hunt' + 'er2@db",'): "the same",
}

# Split, so that this file does not find itself.
PLANTED = ["AKIA" + "IOSFODNN7EXAMPLF", "-----BEGIN RSA " + "PRIVATE KEY-----", "mainstay_planted_" + "0a" * 32]


def added_lines() -> dict[str, list[str]]:
    """Every line that a commit added, by path."""
    log = subprocess.run(
        ["git", "log", "--all", "-p", "--no-color", "--no-ext-diff", "--unified=0", "--format="],
        check=True, capture_output=True,
    ).stdout.decode("utf-8", "replace")
    lines, path = collections.defaultdict(list), ""
    for line in log.splitlines():
        if line.startswith("+++ "):
            path = line.removeprefix("+++ ").removeprefix("b/")
        elif line.startswith("+"):
            lines[path].append(line[1:])
    return lines


def findings(folder: pathlib.Path, lines: dict[str, list[str]]) -> list[tuple[str, str, str]]:
    """Path, kind and line of everything that looks like a secret."""
    found = []
    with transient_settings({"plugins_used": [{"name": name} for name in PLUGINS] + [OURS]}):
        for number, (path, added) in enumerate(sorted(lines.items())):
            # Under its own ending, which some detectors look at.
            file = folder / f"{number}{pathlib.PurePath(path).suffix}"
            file.write_text("\n".join(added) + "\n", encoding="utf-8")
            secrets = SecretsCollection()
            secrets.scan_file(str(file))
            for _, secret in secrets:
                line = added[secret.line_number - 1].strip()
                if (path, line) not in ALLOWED:
                    found.append((path, secret.type, line))
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        planted = findings(pathlib.Path(folder), {"planted.txt": PLANTED})
        if len(planted) < len(PLANTED):
            print(f"the scanner finds {len(planted)} of {len(PLANTED)} planted secrets: {planted}")
            return 1
        lines = added_lines()
        found = findings(pathlib.Path(folder), lines)
    for path, kind, line in found:
        print(f"{path}: {kind}: {line[:16]}…")
    count = sum(map(len, lines.values()))
    print(f"{len(found)} secrets in {count} lines that were ever added, planted ones found")
    return 1 if found or count < 1000 else 0


if __name__ == "__main__":
    sys.exit(main())
