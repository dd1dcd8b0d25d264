/** What the browser's tab shows: a title with the count of what is unread, and a dot on the icon. */

/** Shows a title, and in the icon whether something is unread. */
export function showInTab(title: string, unread: boolean): void {
  document.title = title;
  const icon = document.querySelector<HTMLLinkElement>('link[rel="icon"]');
  if (!icon) return;
  icon.dataset.plain ??= icon.href;
  const wanted = unread ? dotted : icon.dataset.plain;
  if (icon.href !== wanted) icon.href = wanted;
}

/** The icon with a dot. It is written here, not loaded: it must show without a network as well. */
const dotted = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 512 512"><rect width="512" height="512" rx="112" fill="#0b6e4f"/>' +
    '<path d="M152 112h208a64 64 0 0 1 64 64v92a64 64 0 0 1-64 64H248l-84 76v-76h-12a64 64 0 0 1-64-64v-92a64 64 0 0 1 64-64z" fill="#fbfaf7"/>' +
    '<circle cx="400" cy="112" r="104" fill="#d93025" stroke="#fbfaf7" stroke-width="24"/></svg>',
)}`;
