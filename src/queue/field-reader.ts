/**
 * Reads fields that are parted by single characters out of a text, from left to right, without cutting it up: a queue
 * that opens reads some hundred thousand of them. Never throws.
 */

export class FieldReader {
  readonly text: string;
  at: number;

  constructor(text: string, at: number) {
    this.text = text;
    this.at = at;
  }

  /** Digits up to the next space or line end, which is passed; NaN when there are other characters, or none. */
  number(): number {
    const { text } = this;
    const start = this.at;
    let value = 0;
    for (;;) {
      const code = text.charCodeAt(this.at);
      if (!(code >= 48 && code <= 57)) {
        const empty = this.at === start;
        this.at++;
        return empty || code !== 32 && code !== 10 ? NaN : value;
      }
      value = value * 10 + code - 48;
      this.at++;
    }
  }

  /** Text up to that character, which is passed; null when it does not come. */
  word(end: string): string | null {
    const stop = this.text.indexOf(end, this.at);
    if (stop < 0) return null;
    const word = this.text.slice(this.at, stop);
    this.at = stop + 1;
    return word;
  }

  characters(count: number): string {
    const from = this.at;
    this.at += count;
    return this.text.slice(from, this.at);
  }
}
