/** The kernel's connection tracker cannot be reached at all: it is not there, and nothing was deleted. */
export class ConntrackUnavailableError extends Error {
  override readonly name = 'ConntrackUnavailableError';
}
