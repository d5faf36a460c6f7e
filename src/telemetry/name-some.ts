/** Named at the most: a network policy engine has a chain for each Pod. */
const mostNamed = 12;

/** `a; b; and 3 more`: for a line of the log. */
export function nameSome(lines: readonly string[]): string {
  const rest = lines.length - mostNamed;
  return rest <= 0 ? lines.join('; ') : `${lines.slice(0, mostNamed).join('; ')}; and ${rest} more`;
}
