/* What the theme leaves out for those who use a keyboard or a screen reader. */

/* What is wider than the screen is scrolled with the arrow keys, once it can have the focus. */
function reachWide() {
  for (const wide of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
    else wide.removeAttribute("tabindex");
  }
}

addEventListener("load", () => {
  document.querySelector("[data-md-component=search]")?.setAttribute("aria-label", "Search");
  reachWide();
});
addEventListener("resize", reachWide);
