/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Latency against working set as a picture: in the terminal, one letter a kind
 * of page, and as SVG. The x axis has a step for each set, the y axis is
 * logarithmic, as caches and memory are orders of magnitude apart.
 */
#include "tlbmiss_cost.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS 18
#define STEP 4 /* columns a set */

struct frame {
	double low, high; /* ns, the logarithms of which are the axis */
};

static struct frame frame_of(const struct cost *c)
{
	struct frame f = {1e9, 0};

	for (unsigned i = 0; i < c->kind_count; i++) {
		for (unsigned set = 0; set < c->sets; set++) {
			if (!cost_has(&c->kinds[i], c, set))
				continue;
			f.low = fmin(f.low, c->kinds[i].median[set]);
			f.high = fmax(f.high, c->kinds[i].median[set]);
		}
	}
	if (f.high <= f.low) {
		f.low = fmax(f.low / 2, 0.01);
		f.high = f.low * 4;
	}
	return f;
}

/* 0 at the lowest, 1 at the highest. */
static double height(const struct frame *f, double ns)
{
	return log(ns / f->low) / log(f->high / f->low);
}

static double at_height(const struct frame *f, double h)
{
	return f->low * pow(f->high / f->low, h);
}

/* A letter for each kind: the first of its name that is free. */
static void choose_letters(const struct cost *c, char *letters)
{
	for (unsigned i = 0; i < c->kind_count; i++) {
		char letter = c->kinds[i].name[0];

		for (unsigned j = 0; j < i; j++) {
			if (letters[j] == letter)
				letter = (char)('a' + (int)i);
		}
		letters[i] = letter;
	}
}

void cost_plot(const struct cost *c)
{
	static char grid[ROWS][COST_SETS_MAX * STEP];
	struct frame f = frame_of(c);
	char letters[COST_KINDS_MAX];

	choose_letters(c, letters);
	memset(grid, ' ', sizeof(grid));
	for (unsigned i = 0; i < c->kind_count; i++) {
		for (unsigned set = 0; set < c->sets; set++) {
			const struct cost_kind *k = &c->kinds[i];
			int row;
			char *cell;

			if (!cost_has(k, c, set))
				continue;
			row = (int)lround(
				height(&f, k->median[set]) * (ROWS - 1));
			cell = &grid[ROWS - 1 - row][set * STEP + 1];
			/* Side by side where they are equal. */
			for (unsigned j = 0; j < i && *cell != ' '; j++)
				cell++;
			*cell = letters[i];
		}
	}
	puts("ns an access");
	for (int row = 0; row < ROWS; row++) {
		if ((ROWS - 1 - row) % 4 == 0)
			printf("%8.1f |",
				at_height(&f,
					(double)(ROWS - 1 - row) / (ROWS - 1)));
		else
			printf("%8s |", "");
		printf("%.*s\n", (int)(c->sets * STEP), grid[row]);
	}
	printf("%8s +", "");
	for (unsigned i = 0; i < c->sets * STEP; i++)
		putchar('-');
	printf("\n%8s  ", "");
	for (unsigned set = 0; set < c->sets; set += 2)
		printf("%-*s", 2 * STEP, tool_size(c->set[set]).text);
	fputs("  working set\n", stdout);
	for (unsigned i = 0; i < c->kind_count; i++) {
		if (!c->kinds[i].missing)
			printf("%8s%c: %s pages\n", "", letters[i],
				c->kinds[i].name);
	}
}

/* ---- SVG ---- */

#define WIDTH  720
#define HEIGHT 400
#define LEFT   70
#define BOTTOM 50
#define TOP    20
#define RIGHT  90

static double x_of(const struct cost *c, unsigned set)
{
	unsigned last = c->sets > 1 ? c->sets - 1 : 1;

	return LEFT + (double)set * (WIDTH - LEFT - RIGHT) / last;
}

static double y_of(const struct frame *f, double ns)
{
	return HEIGHT - BOTTOM - height(f, ns) * (HEIGHT - BOTTOM - TOP);
}

static void svg_axes(const struct cost *c, const struct frame *f, FILE *out)
{
	for (unsigned set = 0; set < c->sets; set += 2)
		fprintf(out,
			"<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s"
			"</text>\n",
			x_of(c, set), HEIGHT - BOTTOM + 18,
			tool_size(c->set[set]).text);
	for (int i = 0; i <= 4; i++) {
		double ns = at_height(f, i / 4.0), y = y_of(f, ns);

		fprintf(out,
			"<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" "
			"stroke=\"#ddd\"/>\n"
			"<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.1f"
			"</text>\n",
			LEFT, y, WIDTH - RIGHT, y, LEFT - 8, y + 4, ns);
	}
	fprintf(out,
		"<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">working set"
		"</text>\n"
		"<text x=\"14\" y=\"%d\" text-anchor=\"middle\" "
		"transform=\"rotate(-90 14 %d)\">ns an access</text>\n",
		(LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, HEIGHT / 2,
		HEIGHT / 2);
}

static void svg_kind(
	const struct cost *c, const struct frame *f, unsigned i, FILE *out)
{
	/* Told apart without seeing red and green, too. */
	static const char *const colours[] = {"#000000", "#0072b2", "#d55e00",
		"#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442"};
	const struct cost_kind *k = &c->kinds[i];
	const char *colour = colours[i % HL_ARRAY_SIZE(colours)];
	unsigned last = c->sets;

	fprintf(out,
		"<polyline fill=\"none\" stroke=\"%s\" "
		"stroke-width=\"2\" points=\"",
		colour);
	for (unsigned set = 0; set < c->sets; set++) {
		if (!cost_has(k, c, set))
			continue;
		fprintf(out, "%.1f,%.1f ", x_of(c, set),
			y_of(f, k->median[set]));
		last = set;
	}
	fputs("\"/>\n", out);
	if (last < c->sets)
		fprintf(out,
			"<text x=\"%.1f\" y=\"%.1f\" fill=\"%s\">%s</text>\n",
			x_of(c, last) + 8, y_of(f, k->median[last]) + 4, colour,
			k->name);
}

int cost_svg(const struct cost *c, const char *path)
{
	struct frame f = frame_of(c);
	FILE *out = fopen(path, "w");
	int err;

	if (!out)
		return -errno;
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
		"height=\"%d\" viewBox=\"0 0 %d %d\" "
		"font-family=\"sans-serif\" "
		"font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		WIDTH, HEIGHT, WIDTH, HEIGHT);
	svg_axes(c, &f, out);
	for (unsigned i = 0; i < c->kind_count; i++) {
		if (!c->kinds[i].missing)
			svg_kind(c, &f, i, out);
	}
	fputs("</svg>\n", out);
	err = ferror(out) ? -EIO : 0;
	if (fclose(out) != 0 && !err)
		err = -errno;
	return err;
}
