import base64
import hashlib
import json
import re

from primaps.outputs.viewer.embedding import (
    of_studio,
    policy_hash,
    report_import_map,
    report_styles,
    served_import_map,
    style_paths,
    web_files,
)


def test_every_module_is_found_by_its_path():
    found = web_files()
    assert {"dom.js", "model.js", "studio/api.js"} <= found.keys()
    assert list(found) == sorted(found)
    assert all(path.endswith((".js", ".css")) for path in found)


def test_the_import_map_holds_the_modules_but_the_studio():
    imports = json.loads(report_import_map())["imports"]
    start = "data:text/javascript;base64,"
    for path, content in web_files().items():
        name = f"viewer/{path}"
        if not path.endswith(".js") or of_studio(path):
            assert name not in imports
        else:
            assert imports[name].startswith(start)
            assert base64.b64decode(imports[name].removeprefix(start)) == content


def test_what_a_report_imports_is_in_its_map():
    imports = json.loads(report_import_map())["imports"]
    wanted = re.compile(r'^(?:import|export)\b[^"]*?"(viewer/[^"]+)"', re.MULTILINE)
    for path, content in web_files().items():
        if path.endswith(".js") and not of_studio(path):
            for name in wanted.findall(content.decode()):
                assert name in imports, f"{path} imports {name}"


def test_nothing_is_loaded_from_elsewhere():
    for path, content in web_files().items():
        text = content.decode()
        # the name of a format is no address
        hosts = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not hosts, path
        assert "@import url" not in text, path
        assert "</style" not in text, path


def test_a_server_gives_the_modules_below_its_root():
    assert json.loads(served_import_map()) == {"imports": {"viewer/": "/web/"}}


def test_styles_of_the_studio_come_last_and_not_in_the_report():
    paths = style_paths()
    assert [of_studio(path) for path in paths] == sorted(of_studio(path) for path in paths)
    files = web_files()
    for path in paths:
        assert (files[path].decode() in report_styles()) == (not of_studio(path))


def test_a_hash_is_that_of_the_policy():
    digest = base64.b64encode(hashlib.sha256("a ü".encode()).digest()).decode()
    assert policy_hash("a ü") == f"'sha256-{digest}'"
