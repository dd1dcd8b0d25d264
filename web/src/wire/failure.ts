/** Why something could not be done. It is the one error that a person is told of. */
export class Failure extends Error {
  override readonly name = "Failure";

  /**
   * @param code the protocol's (see docs/PROTOCOL.md), or "offline": no server was reached, or "unreadable": the device's database failed
   * @param detail a sentence of the server, in English; "" if it said none
   * @param retryAfter milliseconds to wait before the next try; 0 if that was not said
   */
  constructor(
    readonly code: string,
    readonly detail: string,
    readonly retryAfter = 0,
  ) {
    super(detail || code);
  }
}
