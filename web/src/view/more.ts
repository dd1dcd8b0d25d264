/**
 * Dialogs and pages that are not on the first screen. They come in a file of their own, and all together: whoever opens one opens
 * another, and a page has them a moment after it is there.
 */
export { default as Broken } from "./Broken.svelte";
export { default as Contacts } from "./people/Contacts.svelte";
export { default as Group } from "./people/Group.svelte";
export { default as Join } from "./people/Join.svelte";
export { default as Person } from "./people/Person.svelte";
export { default as Search } from "./people/Search.svelte";
export { default as NewConversation } from "./NewConversation.svelte";
export { default as NewGroup } from "./NewGroup.svelte";
export { default as Settings } from "./Settings.svelte";
export { default as Shortcuts } from "./Shortcuts.svelte";
export { default as Editions } from "./timeline/Editions.svelte";
export { default as Forward } from "./timeline/Forward.svelte";
export { default as Info } from "./timeline/Info.svelte";
export { default as MessageMenu } from "./timeline/MessageMenu.svelte";
