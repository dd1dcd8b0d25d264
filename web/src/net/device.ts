/** What browsers call themselves, the more particular first: nearly all also say Chrome or Safari. */
const browsers: readonly (readonly [RegExp, string])[] = [
  [/\bEdg(?:e|A|iOS)?\//, "Edge"],
  [/\bOPR\/|\bOPT\//, "Opera"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\bVivaldi\//, "Vivaldi"],
  [/\bFirefox\/|\bFxiOS\//, "Firefox"],
  [/\bChrome\/|\bCriOS\/|\bChromium\//, "Chrome"],
  [/\bSafari\//, "Safari"],
];

/** What systems call themselves; Android also says Linux, iPhones also say Mac OS X. */
const systems: readonly (readonly [RegExp, string])[] = [
  [/\biPhone\b|\biPod\b/, "iPhone"],
  [/\biPad\b/, "iPad"],
  [/\bAndroid\b/, "Android"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bWindows\b/, "Windows"],
  [/\bMacintosh\b|\bMac OS X\b/, "macOS"],
  [/\bLinux\b|\bX11\b/, "Linux"],
];

/** A name for the device in its owner's list, "Firefox on Linux", from the user agent and how many fingers its screen can tell apart. */
export function deviceName(agent: string, touches: number): string {
  const browser = browsers.find(([says]) => says.test(agent))?.[1] ?? "Browser";
  let system = systems.find(([says]) => says.test(agent))?.[1];
  if (system === "macOS" && touches > 1) system = "iPad"; // it asks for pages as a Mac does, which has no such screen
  return system === undefined ? browser : `${browser} on ${system}`;
}
