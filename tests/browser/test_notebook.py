"""The report as a notebook embeds it."""

import primaps as pm


def test_the_embedded_report_works_apart_from_the_notebook(
    new_page, photographs, texture, small_config, tmp_path
):
    segmenter = pm.Segmenter(texture, num_clusters=3, config=small_config)
    run = segmenter.fit(photographs, run_dir=tmp_path / "run").write_labels()
    page_file = tmp_path / "notebook.html"
    page_file.write_text(
        "<!doctype html><meta charset=utf-8><title>notebook</title><script>secret = 1</script>"
        + pm.view(run)._repr_html_(),
        encoding="utf-8",
    )
    page = new_page(page_file.as_uri(), offline=True)
    inside = page.frame_locator("iframe")
    inside.get_by_role("link", name="Photographs", exact=True).click()
    inside.get_by_role("link", name="p1.png").first.wait_for()
    frame = page.frames[1]
    assert frame.url == "about:srcdoc#/gallery"  # and not the notebook's own address
    assert frame.evaluate("self.origin") == "null"
    assert frame.evaluate("try { parent.secret } catch (error) { error.name }") == "SecurityError"
