// Redoc writes its own style sheets; the nonce lets them pass the policy. Its search would need a
// worker made of a string, which the policy refuses.
const place = document.getElementById("redoc");
Redoc.init("openapi.json", { nonce: place.dataset.nonce, disableSearch: true, hideDownloadButton: true }, place);
