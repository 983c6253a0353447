/**
 * Concurrency feedback (default_destination_concurrency_positive_feedback and its like): how far one delivery moves a
 * destination's window, and how Postfix writes such numbers in its log. Pure.
 */

/** `1`, `1/8`, `N/concurrency` or `N/sqrt_concurrency`. */
export interface Feedback {
  readonly amount: number;
  readonly per: "one" | "concurrency" | "sqrt_concurrency";
}

const FEEDBACK = /^\s*(\d+\.?\d*|\.\d+)(?:\s*\/\s*(?:(concurrency|sqrt_concurrency)|(\d+\.?\d*|\.\d+)))?$/;

/** null: malformed, or not between 0 and 1. */
export function parseFeedback(text: string): Feedback | null {
  const found = FEEDBACK.exec(text);
  if (found === null) return null;
  const amount = Number(found[1]) / Number(found[3] ?? 1);
  const per = found[2] === "concurrency" || found[2] === "sqrt_concurrency" ? found[2] : "one";
  return amount >= 0 && amount <= 1 ? { amount, per } : null;
}

export function feedbackAt({ amount, per }: Feedback, window: number): number {
  if (per === "one") return amount;
  return amount / (per === "concurrency" ? window : Math.sqrt(window));
}

/** C's %g: six significant digits without trailing zeros. */
export function general(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const [digits = "0", exponent = "0"] = value.toExponential(5).split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 6) return String(Number(value.toPrecision(6)));
  const sign = power < 0 ? "-" : "+";
  return `${Number(digits)}e${sign}${String(Math.abs(power)).padStart(2, "0")}`;
}
