"""fetch.py NAME VERSION SHA256 DIR: saves a package's source archive.

It comes from the index that pip is set up with; pip itself would run the archive's own Python 2 set-up script.
"""

import hashlib
import re
import subprocess
import sys
import urllib.parse
import urllib.request


def index_url():
    for key in ("global.index-url", "install.index-url"):
        command = [sys.executable, "-m", "pip", "config", "get", key]
        url = subprocess.run(command, capture_output=True, text=True).stdout.strip()
        if url:
            return url
    from pip._internal.models.index import PyPI

    return PyPI.simple_url


def main(name, version, sha256, folder):
    archive = f"{name}-{version}.tar.gz"
    page = f"{index_url().rstrip('/')}/{name}/"
    html = urllib.request.urlopen(page).read().decode()
    for link in re.findall(r'href="([^"]+)"', html):
        url = urllib.parse.urljoin(page, link)
        if not urllib.parse.urlparse(url).path.endswith(f"/{archive}"):
            continue
        content = urllib.request.urlopen(url).read()
        if hashlib.sha256(content).hexdigest() != sha256:
            sys.exit(f"{archive} is not the one expected")
        with open(f"{folder}/{archive}", "wb") as out:
            out.write(content)
        return
    sys.exit(f"no source archive of {name} {version}")


main(*sys.argv[1:])
