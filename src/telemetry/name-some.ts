/** More than these are only counted: a network policy engine has one chain per Pod. */
const mostNamed = 12;

/** Joins the lines for the log: `a; b; and 3 more`. */
export function nameSome(lines: readonly string[]): string {
  const rest = lines.length - mostNamed;
  return rest <= 0 ? lines.join('; ') : `${lines.slice(0, mostNamed).join('; ')}; and ${rest} more`;
}
