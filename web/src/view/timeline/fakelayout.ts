/**
 * A layout for tests, where the document has none: the timeline's window and its rows have sizes, scrolling clamps and is heard,
 * and what is observed is measured.
 */
export interface Layout {
  /** Height of the window on the timeline, in pixels. */
  screen: number;
  /** Height of each row. */
  row: number;
  /** Scrolls as a person does. */
  scrollTo(log: HTMLElement, top: number): void;
  /** Ends it. */
  remove(): void;
}

export function layOut(): Layout {
  const observers = new Set<Observer>();
  const layout: Layout = {
    screen: 600,
    row: 50,
    scrollTo(log, top) {
      log.scrollTop = top;
    },
    remove() {
      for (const observer of observers) observer.disconnect();
      for (const undo of undos) undo();
    },
  };
  const undos: (() => void)[] = [];
  const tops = new WeakMap<HTMLElement, number>();
  const isLog = (element: HTMLElement) => element.getAttribute("role") === "log";
  const inner = (log: HTMLElement) => [...log.children].reduce((sum, child) => sum + (Number.parseFloat((child as HTMLElement).style.height) || 0), 0);
  const high = (element: HTMLElement) => (isLog(element) ? layout.screen : layout.row);

  class Observer implements ResizeObserver {
    readonly #watched = new Set<Element>();
    constructor(readonly tell: ResizeObserverCallback) {
      observers.add(this);
    }
    observe(target: Element): void {
      this.#watched.add(target);
      queueMicrotask(() => this.#measure(target));
    }
    unobserve(target: Element): void {
      this.#watched.delete(target);
    }
    disconnect(): void {
      this.#watched.clear();
    }
    #measure(target: Element): void {
      if (!this.#watched.has(target)) return;
      const contentRect = { width: 800, height: high(target as HTMLElement) } as DOMRectReadOnly;
      this.tell([{ target, contentRect } as ResizeObserverEntry], this);
    }
  }

  function put(name: string, descriptor: PropertyDescriptor) {
    const before = Object.getOwnPropertyDescriptor(HTMLElement.prototype, name);
    Object.defineProperty(HTMLElement.prototype, name, { ...descriptor, configurable: true });
    undos.push(() => (before ? Object.defineProperty(HTMLElement.prototype, name, before) : Reflect.deleteProperty(HTMLElement.prototype, name)));
  }
  const get = (value: (element: HTMLElement) => unknown): PropertyDescriptor => ({
    get(this: HTMLElement) {
      return value(this);
    },
  });
  put("offsetParent", get((element) => element.parentElement));
  put("clientHeight", get(high));
  put("scrollHeight", get((element) => (isLog(element) ? Math.max(layout.screen, inner(element)) : high(element))));
  put("scrollTop", {
    get(this: HTMLElement) {
      return tops.get(this) ?? 0;
    },
    set(this: HTMLElement, top: number) {
      const to = Math.max(0, Math.min(top, this.scrollHeight - this.clientHeight));
      if (to === (tops.get(this) ?? 0)) return;
      tops.set(this, to);
      this.dispatchEvent(new Event("scroll"));
    },
  });
  put("scrollTo", { value: scroll(0) });
  put("scrollBy", { value: scroll(1) });
  function scroll(relative: 0 | 1) {
    return function (this: HTMLElement, options: ScrollToOptions) {
      this.scrollTop = relative * this.scrollTop + (options.top ?? 0);
    };
  }
  const observer = globalThis.ResizeObserver;
  globalThis.ResizeObserver = Observer;
  undos.push(() => (globalThis.ResizeObserver = observer));
  return layout;
}
