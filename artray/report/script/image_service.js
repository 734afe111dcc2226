// The larger picture that a museum's IIIF image service has. Nothing else of the page asks a network, and this only when
// a reader enlarges a work.

const SERVICE_SIZES = [1600, 4000]; // at first, and where the reader looks closer

/**
 * Addresses of a whole picture, the best first: a service of level 0 may know no size but its own, one of level 1 none
 * that fits into a square, and one of version 1 no picture called default.
 *
 * @param {string} service
 * @param {number} size the longest that a side should be, in pixels
 */
const picturesBy = (service, size) => [`!${size},${size}/0/default`, `${size},/0/default`, "max/0/default", "full/0/default", "full/0/native"].map((asked) => `${service}/full/${asked}.jpg`);

/**
 * Loads the first picture that comes.
 *
 * @param {string[]} addresses
 * @returns {Promise<any>} the image, or null: none came
 */
async function firstPicture(addresses) {
  for (const address of addresses) {
    const image = element("img");
    image.src = address;
    try {
      await image.decode();
      return image;
    } catch {
      // another size, or nobody answers
    }
  }
  return null;
}
