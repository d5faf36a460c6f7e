/** An error that the user can correct. Its message is all that the user is shown. */
export class UserError extends Error {
  override readonly name = 'UserError';
}
