/** The version in package.json; scripts/build.mjs puts it in. */
declare const VIPWIRE_VERSION: string | undefined;

export const version = typeof VIPWIRE_VERSION === 'string' ? VIPWIRE_VERSION : '0.0.0-unbuilt';
