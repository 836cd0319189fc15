// Runs a page's model without a page: scripts, model and request come as JSON on stdin.
"use strict";
const { scripts, model, text, greedy } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const run = new Function("base64", "text", "greedy", `${scripts}
return Model.load(base64).then((model) => {
  const places = Array.from(scored(model, text, 3));
  const reader = new Reader(model);
  const drawn = [];
  while (drawn.length < greedy) {
    drawn.push(draw(reader, 0));
    if (drawn.at(-1) === EOS) break;
    reader.read(drawn.at(-1));
  }
  const tokens = places.map((place) => place.text);
  return { tokens, logProbs: places.map((place) => place.logProb), drawn };
});`);
run(model, text, greedy).then((found) => console.log(JSON.stringify(found)));
