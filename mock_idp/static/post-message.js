// Hands the answer of response_mode=okta_post_message to the page that framed or opened this one.
"use strict";

const answer = document.getElementById("answer");
const receiver = window.opener ?? (window.parent === window ? null : window.parent);
receiver?.postMessage(JSON.parse(answer.dataset.answer), answer.dataset.target);
