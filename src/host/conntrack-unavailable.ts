/** The kernel's connection tracker cannot be used: it is not there, and nothing was deleted. */
export class ConntrackUnavailableError extends Error {
  override readonly name = 'ConntrackUnavailableError';
}
