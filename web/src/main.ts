/** The page is put together here. */
import { mount } from "svelte";
import { createModel } from "./model";
import { watchForUpdates } from "./update";
import App from "./view/App.svelte";
import { Router } from "./view/route";

const target = document.getElementById("app") ?? document.body;
const model = createModel();

target.replaceChildren(); // the shape that stood there until now
mount(App, { target, props: { model, router: new Router(window), update: watchForUpdates() } });
