// Sends the answer of response_mode=form_post on; without scripts the button does.
"use strict";

document.getElementById("answer").submit();
