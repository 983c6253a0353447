/**
 * Rows of unsigned 32-bit numbers, with a fixed number of columns: memory without objects, that grows a page at a time
 * without being copied. The caller asks only for rows below what it made room for.
 */

const PAGE_BITS = 12;
const PAGE_ROWS = 1 << PAGE_BITS;
const IN_PAGE = PAGE_ROWS - 1;

export class NumberRows {
  readonly #columns: number;
  readonly #pages: Uint32Array[] = [];

  constructor(columns: number) {
    this.#columns = columns;
  }

  /** What it takes of memory. */
  get bytes(): number {
    return this.#pages.length * PAGE_ROWS * this.#columns * 4;
  }

  /** The row exists from now on; a new one is all zeros. */
  makeRoom(row: number): void {
    while (row >>> PAGE_BITS >= this.#pages.length) this.#pages.push(new Uint32Array(PAGE_ROWS * this.#columns));
  }

  get(row: number, column: number): number {
    return this.#pages[row >>> PAGE_BITS]![(row & IN_PAGE) * this.#columns + column]!;
  }

  set(row: number, column: number, value: number): void {
    this.#pages[row >>> PAGE_BITS]![(row & IN_PAGE) * this.#columns + column] = value;
  }

  clear(): void {
    this.#pages.length = 0;
  }
}
