"use strict";
// Starts the page: the model, and two tabs.

/** Let buttons choose between panels: by a click, or by the arrow keys. */
function makeTabs(tabs) {
  const select = (chosen) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      $(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
    }
  };
  tabs.forEach((tab, number) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", ({ key }) => {
      if (key !== "ArrowLeft" && key !== "ArrowRight") return;
      const next = tabs[(number + 1) % tabs.length]; // there are two
      select(next);
      next.focus();
    });
  });
}

function tell(problem) {
  $("problem").textContent = problem;
  $("problem").hidden = false;
}

async function start() {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("this browser is too old; the page needs one of 2023 or later");
  }
  const model = await Model.load($("model").textContent);
  $("name").textContent = model.header.name;
  $("about").textContent = model.header.about;
  if (!Number.isFinite(new Reader(model).logProbs[EOS])) {
    throw new Error("the model's predictions are not finite");
  }
  makeTabs([$("tab-write"), $("tab-score")]);
  new Writer(model);
  new Scorer(model);
  $("main").hidden = false;
  return model;
}

window.addEventListener("unhandledrejection", ({ reason }) => tell(`Sorry: ${reason.message}.`));
const started = start();
