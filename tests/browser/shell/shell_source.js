// A source without server or page: photographs of one colour, maps of vertical bands.

export class ShellSource {
  constructor({ run, state }) {
    this.run = run;
    this.state = state;
    this.api = null;
    this.asked = [];
    this.prefetched = [];
  }

  async photo(image) {
    this.asked.push(image);
    const canvas = new OffscreenCanvas(64, 48);
    const drawing = canvas.getContext("2d");
    drawing.fillStyle = `hsl(${(37 * image) % 360} 40% 50%)`;
    drawing.fillRect(0, 0, 64, 48);
    return createImageBitmap(canvas);
  }

  async maps(image) {
    const clusters = this.run.images.clusters[image].map(([cluster]) => cluster);
    const at = (place) => Math.floor(((place % 64) * clusters.length) / 64);
    const labels = Uint16Array.from({ length: 64 * 48 }, (_, place) => clusters[at(place)]);
    const proposals = Uint16Array.from({ length: 64 * 48 }, (_, place) => at(place) + 1);
    return { width: 64, height: 48, labels, proposals };
  }

  async certainty() {
    return null;
  }

  prefetch(images) {
    this.prefetched.push(images);
  }
}
