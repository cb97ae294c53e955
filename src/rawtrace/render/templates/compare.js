"use strict";
// Without this script the four buttons do the same in steps; it adds the slider.
for (const viewer of document.querySelectorAll(".compare")) {
  const slider = viewer.querySelector(".slider"), range = slider.querySelector("input");
  const stage = viewer.querySelector(".stage"), choices = viewer.querySelectorAll("input[type=radio]");
  slider.hidden = false;
  const show = (share) => {
    stage.classList.add("sliding");
    stage.style.setProperty("--share", share);
  };
  range.addEventListener("input", () => {
    for (const choice of choices) choice.checked = choice.value === range.value;
    show(range.value);
  });
  for (const choice of choices) {
    choice.addEventListener("change", () => {
      if (choice.value === "difference") stage.classList.remove("sliding");
      else { range.value = choice.value; show(choice.value); }
    });
  }
}
