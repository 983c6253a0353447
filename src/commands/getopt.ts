/**
 * POSIX getopt with Postfix's option strings ("c:dnh"): clusters (-nh), attached values (-cDIR), repeats in their
 * order. Options end at the first operand or at `--`; nothing is permuted. The first fault ends the reading and is
 * returned with the C library's words; nothing is thrown.
 */

export interface Option {
  readonly letter: string;
  /** Null for an option that takes none. */
  readonly value: string | null;
}

export interface CommandLine {
  readonly options: readonly Option[];
  readonly operands: readonly string[];
  /** `invalid option -- 'z'` or `option requires an argument -- 'c'`; null when all is well. */
  readonly fault: string | null;
}

/** In `optionString`, `x:` takes a value and `x::` may have one attached. */
export function getopt(optionString: string, words: readonly string[]): CommandLine {
  const options: Option[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (word === "--") return { options, operands: words.slice(index + 1), fault: null };
    if (word.length < 2 || word[0] !== "-") return { options, operands: words.slice(index), fault: null };
    for (let at = 1; at < word.length; at++) {
      const letter = word[at]!;
      const place = letter === ":" ? -1 : optionString.indexOf(letter);
      if (place < 0) return { options, operands: words.slice(index), fault: `invalid option -- '${letter}'` };
      if (optionString[place + 1] !== ":") {
        options.push({ letter, value: null });
        continue;
      }
      const attached = word.slice(at + 1);
      if (attached !== "" || optionString[place + 2] === ":") {
        options.push({ letter, value: attached === "" ? null : attached });
      } else if (index + 1 < words.length) {
        options.push({ letter, value: words[++index]! });
      } else {
        return { options, operands: [], fault: `option requires an argument -- '${letter}'` };
      }
      break;
    }
  }
  return { options, operands: [], fault: null };
}

/** The value of the last option of that letter. */
export function lastValue(line: CommandLine, letter: string): string | null {
  return line.options.findLast((option) => option.letter === letter)?.value ?? null;
}

export function hasOption(line: CommandLine, letter: string): boolean {
  return line.options.some((option) => option.letter === letter);
}
