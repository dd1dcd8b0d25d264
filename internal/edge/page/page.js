// Fills in this server's address, and the code of the link that was opened.
"use strict";
const url = location.origin;
const login = document.getElementById("login");
login.textContent = login.textContent.replace("URL", url);
const opened = /^#\/(setup|invite)\/([0-9A-Za-z._~-]{1,64})$/.exec(location.hash);
if (opened) {
  document.getElementById("register").textContent = `parley login ${url} HANDLE --register --invite ${opened[2]}`;
  document.getElementById("setup").hidden = opened[1] !== "setup";
  document.getElementById("code").hidden = false;
}
