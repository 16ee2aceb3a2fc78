// The page: ask for the manifest, hand it to the parts.

import { $, send, showError } from "./common.js";
import { showCard } from "./card.js";
import { prepareFile } from "./file.js";
import { prepareForm } from "./form.js";

const RETRY_MILLISECONDS = 3000;

async function start() {
  let model;
  try {
    model = await (await send("model")).json();
  } catch (error) {
    $("status").hidden = false;
    showError($("status"), error);
    setTimeout(start, RETRY_MILLISECONDS);
    return;
  }
  $("status").hidden = true;
  showCard(model);
  prepareForm(model);
  prepareFile(model);
}

start();
