/** What was thrown, in words. Errors of another realm have a message, too, and are no instances of this one's Error. */
export function messageOf(thrown: unknown): string {
  const { message } = Object(thrown) as { readonly message?: unknown };
  return typeof message === 'string' ? message : String(thrown);
}

/** Node's code of a system error, such as ENOENT. Returns '' for other errors. */
export function errorCode(thrown: unknown): string {
  const { code } = Object(thrown) as { readonly code?: unknown };
  return typeof code === 'string' ? code : '';
}
