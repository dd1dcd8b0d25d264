/**
 * Shapes: what is checked of a value that came from outside before it is believed to be of a type. A field that a shape does not name may be
 * there and be anything: it is of a later version.
 */

/** Whether a value is a T, as far as we rely on it. It never throws. */
export type Shape<T> = (value: unknown) => value is T;

/** The shape of a field that may be absent. */
export interface Optional<T> {
  readonly optional: Shape<T>;
}

/** A shape for each field of T; an Optional for those, and only those, that may be absent. */
export type Fields<T> = { readonly [K in keyof T]-?: object extends Pick<T, K> ? Optional<NonNullable<T[K]>> : Shape<T[K]> };

export const text: Shape<string> = (value) => typeof value === "string";

export const flag: Shape<boolean> = (value) => typeof value === "boolean";

/** A whole number from 0 to 2^53-1: what the protocol calls a number. */
export const whole: Shape<number> = (value): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

export function optional<T>(shape: Shape<T>): Optional<T> {
  return { optional: shape };
}

export function orNull<T>(shape: Shape<T>): Shape<T | null> {
  return (value): value is T | null => value === null || shape(value);
}

export function list<T>(shape: Shape<T>): Shape<T[]> {
  return (value): value is T[] => Array.isArray(value) && value.every(shape);
}

/** An object with these fields of its own; what it inherits does not count. */
export function record<T extends object>(fields: Fields<T>): Shape<T> {
  const all = Object.entries<Shape<unknown> | Optional<unknown>>(fields);
  return (value): value is T => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    return all.every(([name, shape]) => {
      if (!Object.hasOwn(value, name)) return typeof shape !== "function";
      const field: unknown = Reflect.get(value, name);
      return typeof shape === "function" ? shape(field) : shape.optional(field);
    });
  };
}
